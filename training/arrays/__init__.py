"""Networks that classify no pictures: one array in, one array out. Their runs are of the kind `tensor`.

material        what such a network learns from
trainer         from recipe to run folder, the same for all of them
pages           the pictures of a run
labelled        what is common to the next two
table           measurements -> class
sequence        text -> class
text            text -> next character
image_to_image  picture -> picture
"""
