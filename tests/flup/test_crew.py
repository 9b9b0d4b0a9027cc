"""How many app threads or processes there have to be."""

import unittest

from flup.server._crew import change


class Change(unittest.TestCase):
    def test_the_table(self):
        # idle, staying, total, least, most, at_least, limit, what has to happen
        for row in (
            (0, 0, 0, 1, 5, 0, 10, 1),
            (1, 1, 1, 1, 5, 0, 10, 0),
            (0, 3, 3, 1, 5, 0, 10, 1),
            (0, 3, 3, 2, 5, 0, 10, 2),
            (0, 10, 10, 2, 5, 0, 10, 0),
            (0, 9, 9, 2, 5, 0, 10, 1),
            (7, 8, 8, 1, 5, 0, 10, -2),
            (5, 8, 8, 1, 5, 0, 10, 0),
            # A fork server begins with maxSpare children, and keeps so many.
            (0, 0, 0, 1, 5, 5, 50, 5),
            (2, 5, 5, 1, 2, 5, 50, 0),
            (7, 7, 7, 1, 5, 5, 50, -2),
            # Those that go count until they have gone.
            (0, 0, 1, 1, 1, 1, 1, 0),
            (0, 1, 3, 1, 5, 5, 6, 3),
        ):
            self.assertEqual(change(*row[:-1]), row[-1], row)


if __name__ == "__main__":
    unittest.main()
