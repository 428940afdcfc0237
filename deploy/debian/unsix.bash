eval "$(unsix completions bash)"
