/** A text of so many characters that does not compress to nothing: the same for the same mark. */
export function bodyText(mark: number, length: number): string {
  let text = "";
  for (let word = mark; text.length < length; word = Math.imul(word, 1_103_515_245) + 12_345) {
    text += (word >>> 0).toString(36);
  }
  return text.slice(0, length);
}
