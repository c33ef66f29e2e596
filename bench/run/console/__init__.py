"""What a terminal shows: live boards, plain lines where there is no terminal, and tables."""
