-- End leases of an owner, counted as lost, a bounded piece of them. ARGV: clock offset, owner. Answers
-- with how many are left, and with news (upkeep.lua).

even_when_full()
news = {}
reclaim_from(ARGV[2], FEW, clock(tonumber(ARGV[1])))
return {call('SCARD', P .. 'o:' .. ARGV[2]), news}
