// Views that are loaded when somebody opens them, so that the page itself comes up sooner.

export { createHow } from "./how";
export { createPast } from "./past";
export { createPicture } from "./picture";
export { createWhy } from "./why";
export { createWritingPane } from "./writing";
