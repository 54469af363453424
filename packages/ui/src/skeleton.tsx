interface SkeletonProps {
  /** Width in `ch`, that of the text to come. */
  readonly width: number
}

/** Holds the place of a text that has not come yet, so that nothing moves when it does. */
export function Skeleton({ width }: SkeletonProps) {
  return (
    <span className="skeleton" style={{ width: `${width}ch` }}>
      <span className="hidden">loading</span>
    </span>
  )
}
