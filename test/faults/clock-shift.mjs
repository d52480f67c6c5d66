/** Preloaded (`node --import`): this process believes that it is PARTWAY_TEST_SHIFT_MS later than it is. */
const shift = Number(process.env.PARTWAY_TEST_SHIFT_MS);
const Real = Date;
globalThis.Date = class Shifted extends Real {
  constructor(...args) {
    super(...(args.length === 0 ? [Real.now() + shift] : args));
  }
  static now() {
    return Real.now() + shift;
  }
};
