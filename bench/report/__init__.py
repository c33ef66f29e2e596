"""Results for readers: the page, figures, LaTeX and Markdown, the image viewer."""
