"""Signing in and out of a running system."""

from __future__ import annotations

from tests.web.browser import PASSWORD
from tests.web.live.conftest import Joining
from tests.web.live.hall import Hall
from tests.web.live.system import System

WRONG = "not the password"


def test_five_wrong_passwords_are_told_to_wait_and_nobody_else_is(system: System, join: Joining) -> None:
    guesser, name, other = join(), system.user("viewer"), system.user("viewer")
    guesser.refusals = {429}
    for _ in range(5):
        guesser.sign_in(name, WRONG)
        guesser.page.get_by_text("Name or password is wrong.").wait_for()
    for who, password in ((name, WRONG), (name, PASSWORD)):
        guesser.sign_in(who, password)
        guesser.page.get_by_text("Too many attempts").wait_for()
        assert guesser.page.get_by_label("Name").input_value() == name, "what was typed stays"
    # The account is held back wherever somebody tries it from; other people are not.
    elsewhere = join()
    elsewhere.refusals = {429}
    elsewhere.sign_in(name)
    elsewhere.page.get_by_text("Too many attempts").wait_for()
    elsewhere.sign_in(other)
    elsewhere.page.get_by_role("navigation", name="Main").wait_for(state="attached")


def test_after_signing_out_the_back_button_shows_nothing(join: Joining) -> None:
    person = join("administrator")
    person.page.goto("/admin/user/")
    person.page.get_by_role("heading", name="Users").wait_for()
    person.page.get_by_role("button", name="Sign out").click()
    person.page.get_by_role("button", name="Sign in").wait_for()
    person.page.go_back()
    person.page.get_by_role("button", name="Sign in").wait_for()
    assert person.page.get_by_role("heading", name="Users").count() == 0


def test_a_shared_chart_opens_after_signing_in(system: System, hall: Hall, join: Joining) -> None:
    with system.camera(hall.url) as camera:
        door = system.processor(camera, name="Shared door", lines=[[[0.5, 1.0], [0.5, 0.0]]])
        address = f"/admin/chart/?processor={door}&period=week"
        person = join()
        person.sign_in(system.user("viewer"), at=address)
        person.page.get_by_role("heading", name="Shared door").wait_for()
        assert person.page.url == f"{system.url}{address}"
        assert person.page.locator("[aria-current=true]", has_text="Week").count() == 1
