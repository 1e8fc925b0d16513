/* Looks into fragmented MP4: which codecs an init segment announces, and when a segment begins. */

const CONTAINERS = new Set(["moov", "trak", "mdia", "minf", "stbl", "moof", "traf"]);

/* Every box in the view, depth first: calls back with its type, a view of its content, and the trak or
   traf it belongs to. */
function walk(view, visit, group = null) {
  let at = 0;
  while (at + 8 <= view.byteLength) {
    let size = view.getUint32(at);
    let head = 8;
    const type = word(view, at + 4);
    if (size === 1 && at + 16 <= view.byteLength) {
      size = Number(view.getBigUint64(at + 8));
      head = 16;
    } else if (size === 0) size = view.byteLength - at;
    if (size < head || at + size > view.byteLength) return;
    const content = new DataView(view.buffer, view.byteOffset + at + head, size - head);
    if (CONTAINERS.has(type)) walk(content, visit, type === "trak" || type === "traf" ? {} : group);
    else visit(type, content, group);
    at += size;
  }
}

function word(view, at) {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

function hex(number, digits = 2) {
  return number.toString(16).padStart(digits, "0");
}

/* The box of that type among the children that begin `from` bytes into a sample entry. */
function child(entry, from, wanted) {
  let found = null;
  if (entry.byteLength > from) {
    walk(new DataView(entry.buffer, entry.byteOffset + from, entry.byteLength - from), (type, content) => {
      if (type === wanted) found = found || content;
    });
  }
  return found;
}

function avc(type, box) {
  return `${type}.${hex(box.getUint8(1))}${hex(box.getUint8(2))}${hex(box.getUint8(3))}`;
}

function hevc(type, box) {
  const space = ["", "A", "B", "C"][box.getUint8(1) >> 6];
  let reversed = 0;
  const flags = box.getUint32(2);
  for (let bit = 0; bit < 32; bit += 1) if (flags & (1 << bit)) reversed |= 1 << (31 - bit);
  const tier = box.getUint8(1) & 0x20 ? "H" : "L";
  const constraints = [];
  for (let at = 6; at < 12; at += 1) constraints.push(box.getUint8(at));
  while (constraints.length && constraints.at(-1) === 0) constraints.pop();
  const profile = `${space}${box.getUint8(1) & 0x1f}.${(reversed >>> 0).toString(16)}`;
  return [type, profile, `${tier}${box.getUint8(12)}`, ...constraints.map((byte) => byte.toString(16))].join(".");
}

function codec(description) {
  const entry = new DataView(description.buffer, description.byteOffset + 16, description.byteLength - 16);
  const type = word(description, 12);
  if (type === "avc1" || type === "avc3") {
    const box = child(entry, 78, "avcC");
    return box && { video: true, name: avc(type, box) };
  }
  if (type === "hvc1" || type === "hev1") {
    const box = child(entry, 78, "hvcC");
    return box && { video: true, name: hevc(type, box) };
  }
  if (type === "mp4a") return { video: false, name: "mp4a.40.2" };
  return null;
}

/* { type: what a SourceBuffer is made for, tracks: Map of track id → ticks a second, video: its track id }. */
export function readInit(buffer) {
  const tracks = new Map();
  const groups = new Map();
  const of = (group) => {
    if (!groups.has(group)) groups.set(group, {});
    return groups.get(group);
  };
  walk(new DataView(buffer), (type, content, group) => {
    const track = of(group);
    if (type === "tkhd") track.id = content.getUint32(content.getUint8(0) === 1 ? 20 : 12);
    else if (type === "mdhd") track.scale = content.getUint32(content.getUint8(0) === 1 ? 20 : 12);
    else if (type === "stsd") track.codec = codec(content);
  });
  const codecs = [];
  let video = null;
  for (const track of groups.values()) {
    if (track.id === undefined || !track.scale) continue;
    tracks.set(track.id, track.scale);
    if (track.codec) codecs.push(track.codec.name);
    if (track.codec && track.codec.video && video === null) video = track.id;
  }
  if (!codecs.length) throw new Error("its codec is not known here");
  return { type: `video/mp4; codecs="${codecs.join(",")}"`, tracks, video };
}

/* When a segment begins on its own clock, in seconds; null where it does not say. */
export function readStart(buffer, init) {
  const fragments = new Map();
  const order = [];
  walk(new DataView(buffer), (type, content, group) => {
    if (type === "tfhd") {
      fragments.set(group, content.getUint32(4));
    } else if (type === "tfdt") {
      const wide = content.getUint8(0) === 1;
      const ticks = wide ? Number(content.getBigUint64(4)) : content.getUint32(4);
      order.push([fragments.get(group), ticks]);
    }
  });
  const found = order.find(([id]) => id === init.video) || order[0];
  return found && init.tracks.has(found[0]) ? found[1] / init.tracks.get(found[0]) : null;
}
