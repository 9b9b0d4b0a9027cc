def inner():
    raise ValueError("while importing")


inner()
