"""The counter of phrases reads comments and docstrings, and nothing else."""

from tools import prose

SOURCE = '''"""Nobody reads this word."""

WHOLE = "what a whole"  # the whole line


def tell():
    """Tell it anew."""
'''


def test_comments_and_docstrings_are_counted_and_code_is_not(tmp_path, capsys):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)

    prose.main([str(path)])

    counted = dict(line.split(" (")[0].split() for line in capsys.readouterr().out.splitlines())
    # 10 words in one comment and two docstrings, so one hit is 100 per 1,000 words.
    assert counted == {
        "what": "0.00",
        "tell": "100.00",
        "word": "100.00",
        "whole": "100.00",
        "nobody": "100.00",
        "stands": "0.00",
        "anew": "100.00",
    }


def test_the_lines_of_a_group_are_listed_with_their_place(tmp_path, capsys):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)

    prose.main(["--list", "tell", str(path)])

    assert capsys.readouterr().out == f"{path}:6: Tell it anew.\n"
