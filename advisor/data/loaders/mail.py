"""E-mail: one message, or a mailbox of them; a message is a section under its subject."""

import email
import email.policy
import re
from email.message import EmailMessage

from advisor.data.loaders.markdown import heading, join_blocks, paragraph
from advisor.data.loaders.markup import element_text, parse_html
from advisor.data.loaders.plain import Loaded, UnreadableFileError

_FIELDS = ("From", "To", "Date")
_ENCRYPTED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
_MESSAGE_START = re.compile(rb"(?:^|\n\r?\n)From [^\n]*\n")


def eml(data: bytes) -> Loaded:
    """A message: subject, from, to, date and body; attachments are named and not read."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not isinstance(message, EmailMessage) or not ({"from", "date", "subject"} & {name.lower() for name in message}):
        raise UnreadableFileError("no e-mail: it has no sender, date or subject; save it again from its program")
    text = _message(message, 1)
    attached = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    notes = (f"attachments are not read: {', '.join(attached[:5])}",) if attached else ()
    return Loaded(text, str(message["subject"] or "").strip(), notes)


def mbox(data: bytes) -> Loaded:
    """Messages in the order of the mailbox."""
    starts = list(_MESSAGE_START.finditer(data))
    if not starts or starts[0].start() != 0:
        raise UnreadableFileError('no mailbox: it does not begin with "From "; export it again')
    ends = [start.start() for start in starts[1:]] + [len(data)]
    texts, failed = [], 0
    for start, end in zip(starts, ends, strict=True):
        message = email.message_from_bytes(data[start.end() : end], policy=email.policy.default)
        try:
            texts.append(_message(message, 2))
        except UnreadableFileError:
            failed += 1
    if not texts:
        raise UnreadableFileError("no message of the mailbox can be read; export it again")
    return Loaded(join_blocks(texts), notes=(f"messages that could not be read: {failed}",) if failed else ())


def _message(message: EmailMessage, level: int) -> str:
    if message.get_content_type() in _ENCRYPTED:
        raise UnreadableFileError("it is encrypted; save it decrypted")
    body = message.get_body(("plain", "html"))
    try:
        content = body.get_content() if body is not None else ""
    except (LookupError, ValueError, KeyError):
        raw = body.get_payload(decode=True) if body is not None else b""
        content = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    if body is not None and body.get_content_type() == "text/html":
        tree = parse_html(content) if content.strip() else None
        text = element_text(tree) if tree is not None else ""
    else:
        text = paragraph(content.replace("\r\n", "\n"))
    if not text.strip():
        raise UnreadableFileError("the message holds no text; its attachments are not read")
    fields = [f"{name}: {' '.join(str(message[name]).split())}" for name in _FIELDS if message[name]]
    return join_blocks([heading(level, str(message["subject"] or "")), "\n".join(fields), text])
