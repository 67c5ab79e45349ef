"""A comparison and a gate as text: HTML, Markdown, JUnit."""
