package recovery

import "context"

// queue reports rows of the queue that contradict each other. A repair corrects the places of groups.
func (c *checker) queue(ctx context.Context) error {
	wrong, err := c.store.CheckQueue(ctx)
	if err != nil {
		return err
	}
	for _, w := range wrong {
		f := Finding{Run: w.Run, What: w.What}
		if c.repair && w.Place {
			if f.Repaired, err = c.store.RepairPlace(ctx, w.Run); err != nil {
				return err
			}
		}
		c.found(f)
	}
	return nil
}
