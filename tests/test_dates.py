"""The day a tweet was written."""

from datetime import date

import pytest

from tweetgen.reading.dates import number_order, parse_date

FORMS = """2018-10-09;2018-10-09T23:59:59.000Z; 2018/10/9 1:02;2018.10.09;
Tue Oct 09 20:19:24 +0000 2018;Tue Oct  9 20:19:24 PDT 2018;9 Oct 2018;9-Oct-2018;
Tue, 09 Oct 2018 20:19:24 GMT;October 9, 2018 at 08:19PM;8:19 PM - 9 Oct 2018;
1539116364;1539116364000;1539116364.5"""


@pytest.mark.parametrize("text", FORMS.split(";"))
def test_a_day_is_read_in_every_form(text):
    assert parse_date(text) == date(2018, 10, 9)


@pytest.mark.parametrize(
    "text", ["", "soon", "2018-13-01", "31 Feb 2018", "3/4/17", "12", "9" * 5000]
)
def test_what_names_no_day_is_none(text):
    assert parse_date(text) is None


@pytest.mark.parametrize(
    "texts, order",
    [
        (["14/2/17", "1/2/17"], "day"),
        (["2/14/17", "2.1.2017"], "month"),
        (["3/4/17"], ""),
        (["14/2/17", "2/14/17"], ""),
        ([], ""),
    ],
)
def test_the_order_of_numbers_is_known_only_if_a_value_shows_it(texts, order):
    assert number_order(texts) == order


def test_two_numbers_mean_what_the_order_says():
    assert parse_date("3/4/17", "day") == date(2017, 4, 3)
    assert parse_date("3/4/2017", "month") == date(2017, 3, 4)
