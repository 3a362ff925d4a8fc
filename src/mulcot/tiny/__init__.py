"""Making the tiny backbones that ship with the package. See docs/tiny.md.

sizes                  the models and how long they learn
pretraining_examples   what they learn from: pictures with captions, posts to read; never moods, rules or labels
corpus                 the texts that their tokenizer is made from
models                 opening and writing them
initial_weights        how their weights begin
train_vision           first the vision tower learns to name what pictures show
train_language         then the language model learns to describe it, to copy, and to read posts
evaluate               what a model can do, on pictures and posts it never saw
build                  all of it, one after the other
t5_examples, train_t5, build_t5    the same for the tiny T5
"""
