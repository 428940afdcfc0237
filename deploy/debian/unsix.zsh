#compdef unsix
eval "$(unsix completions zsh)"
_unsix "$@"
