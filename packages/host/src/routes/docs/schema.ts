import type { OpenApiDocument } from '@citb/api/openapi.ts';
import { html, type Html } from './html.ts';

type Schemas = NonNullable<NonNullable<OpenApiDocument['components']>['schemas']>;
export type Schema = Schemas[string];

interface Plain {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
}

/** The parts of a schema that are read here; a schema that is only `true` or `false` has none. */
function plain(schema: Schema | undefined): Plain {
  return typeof schema === 'object' ? schema : {};
}

/** The type in a few words: "string", "Box", "Box or StreamError", "list of string"; named ones are links. */
export function typeName(schema: Schema | undefined): Html {
  const it = plain(schema);
  if (it.$ref !== undefined) return link(it.$ref);
  const alternatives = it.anyOf ?? it.oneOf;
  if (alternatives !== undefined) return join(alternatives.map(typeName), ' or ');
  if (it.const !== undefined) return html`<code>${JSON.stringify(it.const)}</code>`;
  if (it.enum !== undefined)
    return join(
      it.enum.map((value) => html`<code>${JSON.stringify(value)}</code>`),
      ' or ',
    );
  if (it.type === 'array') return html`list of ${typeName(it.items)}`;
  if (it.type === 'object' && it.properties === undefined && typeof it.additionalProperties === 'object')
    return html`object of ${typeName(it.additionalProperties)}`;
  return html`${it.type === undefined ? 'anything' : [it.type].flat().join(' or ')}`;
}

/** A table of the fields of an object, or of each of its alternatives. */
export function fields(schema: Schema | undefined): Html {
  const it = plain(schema);
  const alternatives = it.anyOf ?? it.oneOf;
  if (alternatives !== undefined) return html`${alternatives.map(fields)}`;
  if (it.properties === undefined) return html``;
  const rows = Object.entries(it.properties).map(([name, field]) => fieldRow(name, field, it.required?.includes(name) === true));
  return html`<div class="scroll">
    <table>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

/** One field: its name, its type, its bounds, what it is, and its own fields when its type has no name. */
export function fieldRow(name: string, schema: Schema | undefined, required: boolean): Html {
  const it = plain(schema);
  return html`<tr>
    <td><code>${name}</code>${required && html`<span class="need">required</span>`}</td>
    <td>
      <span class="type">${typeName(schema)}</span> ${bounds(it)}${it.description !== undefined && html`<p>${inline(it.description)}</p>`}
      ${fields(it.type === 'array' ? it.items : schema)}
    </td>
  </tr>`;
}

function bounds(it: Plain): Html {
  const parts = [
    it.minimum !== undefined && it.maximum !== undefined
      ? `${it.minimum} to ${it.maximum}`
      : it.minimum !== undefined
        ? `from ${it.minimum}`
        : it.maximum !== undefined && `up to ${it.maximum}`,
    it.maxLength !== undefined && `at most ${it.maxLength} characters`,
    it.default !== undefined && JSON.stringify(it.default) !== '{}' && `default ${JSON.stringify(it.default)}`,
  ].filter((part) => part !== false);
  return html`${parts.length > 0 && html`<span class="type">· ${parts.join(' · ')}</span>`}`;
}

/** Text with `code` in backquotes. */
export function inline(text: string): Html {
  const parts = text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : html`${part}`));
  return html`${parts}`;
}

function link(ref: string): Html {
  const name = ref.slice(ref.lastIndexOf('/') + 1);
  return html`<a href="#schema-${name}">${name}</a>`;
}

function join(parts: readonly Html[], by: string): Html {
  return html`${parts.map((part, index) => (index === 0 ? part : html`${by}${part}`))}`;
}
