"""The report of a run: its summary, tables, figures and the HTML page that shows them."""
