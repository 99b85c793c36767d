"""report.html: what a run came to, on one page that needs nothing else, neither network nor scripts.

material   the answers that the page is about, made anew from a run folder
figures    pictures inside the page
page       the page
"""
