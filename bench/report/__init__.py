"""Output for readers: the HTML page, figures, LaTeX and Markdown tables, the image viewer."""
