-- End leases of an owner, counted as lost, at most FEW of them. ARGV: clock offset, owner. Returns how many
-- are left, and news (upkeep.lua).

even_when_full()
news = {}
reclaim_from(ARGV[2], FEW, clock(tonumber(ARGV[1])))
return {call('SCARD', P .. 'o:' .. ARGV[2]), news}
