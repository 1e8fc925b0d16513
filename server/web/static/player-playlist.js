/* Reads HLS media playlists (RFC 8216): what a player of ours needs of them. */

const ATTRIBUTE = /([A-Z0-9-]+)=("[^"]*"|[^",]*)/g;

function attributes(text) {
  const found = {};
  for (const [, name, value] of text.matchAll(ATTRIBUTE)) found[name] = value.replace(/^"|"$/g, "");
  return found;
}

/* "length@offset"; without an offset it goes on where the range before it in the same file ended. */
function range(text, follows) {
  const [length, offset] = text.split("@").map(Number);
  const first = offset === undefined ? follows : offset;
  return { first, last: first + length - 1 };
}

/* The segments in `text`, which came from `url`. `start`: seconds from the first segment's beginning. */
export function parsePlaylist(text, url) {
  const list = { target: 1, first: 0, ended: false, duration: 0, segments: [] };
  let next = { discontinuity: false };
  let init = null;
  if (!text.startsWith("#EXTM3U")) throw new Error("this is no playlist");
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim();
    const colon = line.indexOf(":");
    const tag = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1);
    if (tag === "#EXT-X-TARGETDURATION") list.target = Number(value) || 1;
    else if (tag === "#EXT-X-MEDIA-SEQUENCE") list.first = Number(value) || 0;
    else if (tag === "#EXT-X-ENDLIST") list.ended = true;
    else if (tag === "#EXT-X-DISCONTINUITY") next.discontinuity = true;
    else if (tag === "#EXT-X-GAP") next.gap = true;
    else if (tag === "#EXTINF") next.duration = parseFloat(value) || 0;
    else if (tag === "#EXT-X-BYTERANGE") next.bytes = value;
    else if (tag === "#EXT-X-MAP") {
      const given = attributes(value);
      init = {
        url: new URL(given.URI, url).href,
        range: given.BYTERANGE ? range(given.BYTERANGE, 0) : null,
      };
    } else if (line && !line.startsWith("#") && next.duration !== undefined) {
      const before = list.segments.at(-1);
      const media = new URL(line, url).href;
      const follows = before && before.url === media && before.range ? before.range.last + 1 : 0;
      list.segments.push({
        sequence: list.first + list.segments.length,
        url: media,
        range: next.bytes ? range(next.bytes, follows) : null,
        init,
        duration: next.duration,
        start: list.duration,
        discontinuity: next.discontinuity,
        gap: Boolean(next.gap),
      });
      list.duration += next.duration;
      next = { discontinuity: false };
    }
  }
  return list;
}
