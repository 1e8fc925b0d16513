"""The answer to the test button of a camera's form."""

from __future__ import annotations

import base64

from flask import jsonify
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from server.errors import InvalidInput
from server.services.probing import Answer, Crowded, Failed, Question, probe
from server.web.admin.camera_form import CameraForm
from server.web.admin.camera_words import bitrate, codec_name, size
from server.web.admin.glances import number, some


def answer(sent: MultiDict[str, str], camera_id: int | None) -> ResponseReturnValue:
    """Test what a form holds: a picture and facts about the stream, or the field that is wrong, with the
    reason and what to do about it. Both come with status 200: browsers log every other as an error."""
    form = CameraForm(sent)
    if form.masks.process_errors:
        return _refused("masks", str(form.masks.process_errors[0]))
    try:
        found = probe(
            Question(form.stream_url.data or "", form.rtsp_transport.data, form.masks.data, camera_id)
        )
    except InvalidInput as error:
        return _refused(error.field, error.message)
    except Failed as error:
        return _refused("stream_url", str(error), error.remedy)
    except Crowded as error:
        return _refused("", str(error), status=429)
    return jsonify(
        picture="data:image/jpeg;base64," + base64.b64encode(found.jpeg).decode("ascii"),
        picture_width=found.seen.width,
        picture_height=found.seen.height,
        facts=facts(found),
    )


def facts(found: Answer) -> list[tuple[str, str]]:
    """What is said of a stream: names and values."""
    seen = found.seen
    codec = codec_name(seen.codec) + (f" ({seen.profile})" if seen.profile else "")
    told = [("Video", codec), ("Picture", size(seen.width, seen.height))]
    if seen.rate:
        told.append(
            ("Rate", f"{number(seen.rate, 0 if seen.rate == round(seen.rate) else 1)} pictures a second")
        )
    if seen.kbps:
        told.append(("Bitrate", bitrate(seen.kbps)))
    if seen.audio:
        told.append(("Sound", f"{seen.audio.upper()}, which is not listened to"))
    told += [("Comes as", found.transport), ("First picture", f"after {seen.took_s:.1f} s")]
    if found.masked:
        told.append(("Masks", some(found.masked, "mask") + " blacked out"))
    return told


def _refused(field: str, reason: str, remedy: str = "", status: int = 200) -> ResponseReturnValue:
    sentence = reason[:1].upper() + reason[1:] if reason.split(" ")[0].isalpha() else reason
    message = sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}."
    response = jsonify(error={"field": field, "message": message, "remedy": remedy})
    if status == 429:
        response.headers["Retry-After"] = "5"
    return response, status
