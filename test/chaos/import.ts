import { type Answer, type Client, jsonOf } from './client.ts';

type Imported = { readonly id: string; readonly refusal?: never } | { readonly id?: never; readonly refusal: Answer };

/** An import has no key by which it could be asked for again; but its user has the box then, or not. */
export async function importBox(client: Client, userId: string, file: Buffer): Promise<Imported> {
  const user = `user_id=${encodeURIComponent(userId)}`;
  for (;;) {
    const headers = { 'Content-Type': 'application/vnd.citb.box+tar' };
    const outcome = await client.ask('POST', `/v1/boxes/import?${user}`, { bytes: file, headers });
    if (outcome?.code === 'ok') return { id: jsonOf<{ id: string }>(outcome).id };
    if (outcome !== undefined) return { refusal: outcome };
    const found = await client.insist('GET', `/v1/boxes?${user}`);
    const [box] = jsonOf<{ boxes: { id: string }[] }>(found).boxes;
    if (box !== undefined) return { id: box.id };
  }
}
