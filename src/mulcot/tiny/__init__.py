"""Making the tiny backbones that ship with the package. See docs/tiny.md.

sizes      the two models and how long they learn
lessons    what they learn from: pictures with captions, posts to read; never moods, rules or labels
corpus     the texts that their tokenizer is made from
models     opening and writing them
beginning  how their weights begin
sight      first the vision tower learns to tell what pictures show
language   then the language model learns to say it, to copy, and to read posts
exam       what a model can do, on pictures and posts it never saw
build      all of it, one after the other
"""
