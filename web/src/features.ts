// What one can say of a text after each of its characters: of code mostly, since that is what the demo reads.

export const FEATURES = [
  "inside quotes",
  "inside brackets",
  "indentation",
  "line position",
  "in a comment",
  "in a word",
  "line start",
  "digits, capitals",
] as const;

/** A function that reads one character after the other and writes their features into `into`, by FEATURES. */
export function featureReader(): (character: string, into: Float64Array) => void {
  let quote = "";
  let comment = false;
  let depth = 0;
  let indent = 0;
  let position = 0;
  let blank = true; // nothing but blanks since the line began
  return (character, into) => {
    if (character === "\n") {
      quote = "";
      comment = false;
      indent = position = 0;
      blank = true;
    } else {
      position += character.length;
      if (blank && character === " ") indent++;
      else blank = false;
      if (comment) {
        // until the line ends
      } else if (quote !== "") {
        if (character === quote) quote = "";
      } else if (character === '"' || character === "'") quote = character;
      else if (character === "#") comment = true;
      else if ("([{".includes(character)) depth++;
      else if (")]}".includes(character)) depth = Math.max(0, depth - 1);
    }
    into[0] = quote === "" ? 0 : 1;
    into[1] = Math.min(depth, 3);
    into[2] = indent;
    into[3] = Math.min(position, 80);
    into[4] = comment ? 1 : 0;
    into[5] = /\w/.test(character) ? 1 : 0;
    into[6] = blank ? 1 : 0;
    into[7] = /[0-9A-Z]/.test(character) ? 1 : 0;
  };
}
