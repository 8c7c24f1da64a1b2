"""The worker: fetch, run, settle, and keep the leases meanwhile.

fetcher ──► runner ──► settler
             keeper (a thread) extends leases and hears of cancels
engine puts them together
"""
