/** What the screens subscribe to: one value, and who wants to hear of a new one. */
export interface Store<T> {
  /** The newest value; the same object until it changes. */
  current(): T;
  /** Gives the function that ends it. */
  subscribe(listener: () => void): () => void;
  set(next: T): void;
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    current: () => value,
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    set(next) {
      value = next;
      for (const listener of listeners) listener();
    },
  };
}
