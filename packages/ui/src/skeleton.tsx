interface SkeletonProps {
  /** Expected width of the text, in `ch`. */
  readonly width: number
}

/** A placeholder for a text that is loading, so that the layout does not shift. */
export function Skeleton({ width }: SkeletonProps) {
  return (
    <span className="skeleton" style={{ width: `${width}ch` }}>
      <span className="hidden">loading</span>
    </span>
  )
}
