/**
 * The document as one HTML page: no script, no file beside it, nothing loaded from anywhere. React escapes every text
 * and attribute; nothing here goes round that.
 */
import { renderToStaticMarkup } from "react-dom/server";
import { CurveChart, TimelineChart } from "./charts.js";
import type { Block, Cell, Doc, Section } from "./doc.js";
import { STYLE } from "./style.js";

export function renderHtml(doc: Doc): string {
  return `<!doctype html>\n${renderToStaticMarkup(<Page doc={doc} />)}\n`;
}

/** A page that is to load nothing says so: what should get through the escaping could do nothing. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

function Page({ doc }: { doc: Doc }) {
  return (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta httpEquiv="Content-Security-Policy" content={POLICY} />
        <title>{`${doc.title}: ${doc.state.text}`}</title>
        <style>{STYLE}</style>
      </head>
      <body>
        <header>
          <div className="head">
            <h1>{doc.title}</h1>
            <span className={`chip ${doc.state.tone}`}>{doc.state.text}</span>
          </div>
          <p className="lead">{doc.sentence}</p>
          <dl className="tiles">
            {doc.tiles.map(({ label, value, tone }) => (
              <div className="tile" key={label}>
                <dt>{label}</dt>
                <dd className={tone}>{value}</dd>
              </div>
            ))}
          </dl>
        </header>
        <main>
          {doc.sections.map((section) => (
            <SectionPart key={section.title} section={section} />
          ))}
        </main>
        <footer>{doc.footer}</footer>
      </body>
    </html>
  );
}

function SectionPart({ section: { title, blocks } }: { section: Section }) {
  return (
    <section>
      <h2>{title}</h2>
      {blocks.map((block, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rendered once, and blocks have no name of their own
        <BlockPart key={at} block={block} />
      ))}
    </section>
  );
}

function BlockPart({ block }: { block: Block }) {
  switch (block.kind) {
    case "text":
      return <p className={block.tone ?? "plain"}>{block.text}</p>;
    case "facts":
      return (
        <dl className="facts">
          {block.rows.flatMap(([label, value]) => [
            <dt key={`${label}, name`}>{label}</dt>,
            <dd key={label}>
              <CellPart cell={value} />
            </dd>,
          ])}
        </dl>
      );
    case "table":
      return <Table head={block.head} right={block.right ?? []} rows={block.rows} />;
    case "code":
      return (
        <>
          <h3>{block.title}</h3>
          <pre>{block.text}</pre>
        </>
      );
    case "timeline":
      return <TimelineChart timeline={block.timeline} />;
    case "line":
      return (
        <>
          <h3>{block.chart.title}</h3>
          <CurveChart chart={block.chart} />
          <p className="quiet">{block.chart.words}</p>
        </>
      );
  }
}

function Table({ head, right, rows }: { head: string[]; right: number[]; rows: Cell[][] }) {
  const side = (at: number) => (right.includes(at) ? "right" : undefined);
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            {head.map((name, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rendered once; a head may be empty
              <th key={at} className={side(at)}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rendered once; rows may be equal
            <tr key={at}>
              {row.map((cell, column) => (
                <td
                  // biome-ignore lint/suspicious/noArrayIndexKey: rendered once; cells may be equal
                  key={column}
                  className={side(column)}
                  colSpan={row.length === 1 ? head.length : undefined}
                >
                  <CellPart cell={cell} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function CellPart({ cell }: { cell: Cell }) {
  return typeof cell === "string" ? cell : <span className={cell.tone}>{cell.text}</span>;
}
