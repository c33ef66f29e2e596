"""What vision-language models take of memory and time: estimates from configurations, no torch."""
