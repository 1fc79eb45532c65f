/** What a check found. `warning`: it works, with less; `failure`: boxes cannot run here until `todo` is done. */
export interface Finding {
  readonly state: 'ok' | 'warning' | 'failure';
  readonly name: string;
  readonly found: string;
  readonly todo?: string;
}

export function ok(name: string, found: string): Finding {
  return { state: 'ok', name, found };
}

export function warning(name: string, found: string, todo: string): Finding {
  return { state: 'warning', name, found, todo };
}

export function failure(name: string, found: string, todo: string): Finding {
  return { state: 'failure', name, found, todo };
}
