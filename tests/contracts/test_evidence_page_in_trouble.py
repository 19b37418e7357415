"""The evidence page when something it needs is gone, late or new: it says what it can, and never what it should not."""

from tests.aws_line import POSITION
from tests.contracts.evidence import evidence


def test_links_made_before_the_key_was_rotated_stay_good() -> None:
    with evidence() as at:
        before = at.link()
        at.asks("GET", before)

        at.made.secrets.put_secret_value(SecretId=at.key_arn, SecretString="n" * 64)

        assert at.asks("GET", before)["statusCode"] == 200


def test_a_picture_that_is_not_drawn_yet_is_said_to_be_missing_and_all_else_is_shown() -> None:
    with evidence() as at:
        at.made.s3.delete_object(Bucket="lake", Key=f"evidence/{at.case_id}/1.svg")

        answer = at.asks("GET", at.link())

        assert answer["statusCode"] == 200
        assert "The picture is not there." in answer["body"]
        assert "9 mm/s" in answer["body"]


def test_a_case_at_a_position_that_left_the_plant_is_shown_by_its_path() -> None:
    with evidence() as at:
        at.line.registry.delete("position", POSITION)
        at.line.registry.delete("site", "plant")

        answer = at.asks("GET", at.link())

        assert answer["statusCode"] == 200
        assert POSITION in answer["body"]
        assert "Times are of UTC." in answer["body"]


def test_a_failure_of_ours_is_told_as_one_without_what_failed() -> None:
    with evidence() as at:
        link = at.link()
        at.made.dynamodb.delete_table(TableName="cases")

        answer = at.asks("GET", link)

        assert answer["statusCode"] == 500
        assert "ResourceNotFound" not in answer["body"]
        assert "try again" in answer["body"]


def test_where_nobody_sends_notices_nobody_can_be_unsubscribed() -> None:
    with evidence(notices=False) as at:
        assert at.asks("POST", at.unsubscribe("mia@example.com"))["statusCode"] == 501
