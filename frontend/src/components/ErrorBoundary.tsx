import { Component, type ReactNode } from "react";

/** Shows what happened where drawing the page has failed; React would leave an empty page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <main>
        <section className="card problem" role="alert">
          <p>
            <strong>This page has failed.</strong> Something in an answer or in the service's data could not be shown. The
            answers and runs on this page are lost; a key that was kept is not.
          </p>
          <button type="button" onClick={() => location.reload()}>
            Load the page again
          </button>
          <p className="note">
            <code>{String(this.state.error)}</code>
          </p>
        </section>
      </main>
    );
  }
}
