/** 8-bit gray PNG files: written byte by byte, since a canvas would store colors, and change them. */

const BAND = 256; // rows that are compressed at a time

const TABLE = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The CRC-32 of bytes. */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function chunk(kind, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** A PNG of width x height gray values, row by row, as a Blob. */
export async function encodeGray(width, height, values) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits; the color type 0 is gray
  let row = 0;
  const rows = new ReadableStream({
    pull(controller) {
      if (row >= height) {
        controller.close();
        return;
      }
      const count = Math.min(BAND, height - row);
      const band = new Uint8Array(count * (width + 1)); // each row begins with its filter, 0: none
      for (let index = 0; index < count; index += 1) {
        band.set(values.subarray((row + index) * width, (row + index + 1) * width), index * (width + 1) + 1);
      }
      row += count;
      controller.enqueue(band);
    },
  });
  // the format "deflate" is that of zlib, as PNG needs it
  const data = new Uint8Array(await new Response(rows.pipeThrough(new CompressionStream("deflate"))).arrayBuffer());
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  return new Blob([signature, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

/** The gray values of an image file at its own size: {width, height, values}. */
export async function decodeGray(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const values = new Uint8Array(width * height);
  // in bands: a canvas of the whole image may be larger than a browser allows
  for (let row = 0; row < height; row += BAND) {
    const count = Math.min(BAND, height - row);
    const context = new OffscreenCanvas(width, count).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, row, width, count, 0, 0, width, count);
    const { data } = context.getImageData(0, 0, width, count);
    for (let index = 0, at = row * width; index < data.length; index += 4, at += 1) {
      const [red, green, blue] = [data[index], data[index + 1], data[index + 2]];
      values[at] = red === green && green === blue ? red : Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    }
  }
  bitmap.close();
  return { width, height, values };
}
