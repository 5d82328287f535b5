"""Step Functions: state machines in the Amazon States Language, by https://states-language.net/spec.html"""
