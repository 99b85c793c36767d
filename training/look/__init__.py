"""Looking inside a convolutional network: pictures of what its layers see, look for and answer by.

network       what is looked into: a run, a .keras file or an architecture of keras.applications
taps          what the layers put out while a model runs, at any depth of nesting
activations   the maps of a layer for one picture, channel by channel
filters       pictures that a filter answers to most, by gradient ascent
gradcam       where in a picture the evidence for a class is
dream         a picture with more of what a layer sees in it
style         a picture painted in the manner of another one
extent        where in a picture the cells of a map lie
sheets        numbers as pictures, and pictures side by side
"""
