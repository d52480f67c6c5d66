/** The whole report, from what is known, as a document. Pure: the same history gives the same document. */
import { moment } from "../../ui/format.js";
import type { Doc } from "./doc.js";
import type { History } from "./history.js";
import {
  backlogSection,
  heldSection,
  interruptionsSection,
  rateSection,
  timelineSection,
  writersSection,
} from "./sections/course.js";
import { forecastSection } from "./sections/forecast.js";
import { plansSection, queriesSection, sizesSection } from "./sections/measures.js";
import { changesSection, notesSection, settingsSection } from "./sections/notes.js";
import { nowFacts, sentenceOf, stateOf, tilesOf } from "./sections/outcome.js";
import { cutoverSection, validationSection } from "./sections/proof.js";
import { smokeSection } from "./sections/smoke.js";

export function documentOf(history: History): Doc {
  const { migration, madeAt, madeBy } = history;
  const plans = plansSection(history);
  const held = heldSection(history);
  return {
    title: `Migration ${migration.id}`,
    state: stateOf(history),
    sentence: sentenceOf(history),
    tiles: tilesOf(history),
    sections: [
      { title: "Now", blocks: [{ kind: "facts", rows: nowFacts(history) }] },
      timelineSection(history),
      cutoverSection(history),
      smokeSection(history),
      validationSection(history),
      queriesSection(history),
      sizesSection(history),
      forecastSection(history),
      rateSection(history),
      backlogSection(history),
      ...(held === null ? [] : [held]),
      writersSection(history),
      interruptionsSection(history),
      notesSection(history),
      changesSection(history),
      settingsSection(history),
      ...(plans === null ? [] : [plans]),
    ],
    footer: `Made by partway report (Partway ${madeBy}) on ${moment(madeAt)} from the journal of ${migration.id}.`,
  };
}
