unsix completions fish | source
