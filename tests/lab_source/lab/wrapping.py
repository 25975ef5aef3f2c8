"""Decorators."""

import functools


def plus(amount):
    """Add to what the function gives."""

    def decorate(function):
        @functools.wraps(function)
        def run(*arguments):
            return function(*arguments) + amount + 1

        return run

    return decorate


def minus(amount):
    """Nothing reaches this."""

    def decorate(function):
        return lambda *arguments: function(*arguments) - amount - 2

    return decorate
