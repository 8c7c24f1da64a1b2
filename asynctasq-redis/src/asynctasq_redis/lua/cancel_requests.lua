-- List the leases of an owner that are flagged to be cancelled. ARGV: owner. Returns ids and tokens in turn.

return flagged_of(ARGV[1])
