"""What an error for the user must be."""


def one_line(error, *named):
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    for part in named:
        assert part in message, message
