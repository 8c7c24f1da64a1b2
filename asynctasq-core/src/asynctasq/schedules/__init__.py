"""Rules of schedules: when a schedule fires, and what happens to times that were missed.

Everything here is pure: nothing does I/O or keeps state. Times are seconds since the Unix epoch.

    cron       cron expressions and time zones
    rhythm     cron, every and at: the first, the next and the latest time
    catch_up   the runs of a schedule that is due, and its next time
    policies   catch-up, overlap and jitter, as users set them
"""
