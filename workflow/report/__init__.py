"""The HTML report: a folder with media files beside the page, and one self-contained file."""
