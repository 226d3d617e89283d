import pytest

from netdsl.report.sizes import bytes_text, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 2**20),
        ("8GiB", 2**33),
        ("8 GiB", 2**33),
        ("1.5GB", 1_500_000_000),
        ("512MB", 512_000_000),
    ],
)
def test_sizes_as_people_write_them(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "8gigs", "-1MB", "1e9", "٣MB", "1.2.3GB", "8iB", "9" * 30])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1024**2 - 1, "1024 KiB"), (5 * 2**40, "5 TiB")],
)
def test_sizes_as_people_read_them(size, text):
    assert bytes_text(size) == text
