/** A block's header: not the last one, not compressed (RFC 1951, section 3.2.4). */
const STORED = 0;
const HEADER_BYTES = 5;
const MAX_BLOCK_BYTES = 65_535;

/** The bytes as they are, as deflate blocks: they end at a byte's end, so that anything may follow. */
export function storedBlocks(bytes: Buffer): Buffer {
  const count = Math.ceil(bytes.length / MAX_BLOCK_BYTES);
  const blocks = Buffer.allocUnsafe(bytes.length + count * HEADER_BYTES);
  let written = 0;
  for (let from = 0; from < bytes.length; from += MAX_BLOCK_BYTES) {
    const length = Math.min(MAX_BLOCK_BYTES, bytes.length - from);
    blocks[written] = STORED;
    blocks.writeUInt16LE(length, written + 1);
    blocks.writeUInt16LE(~length & 0xffff, written + 3);
    written += HEADER_BYTES;
    written += bytes.copy(blocks, written, from, from + length);
  }
  return blocks;
}
