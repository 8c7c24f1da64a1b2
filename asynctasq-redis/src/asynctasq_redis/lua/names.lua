-- List the names of all queues that have messages or are paused; some occur twice.

local names = call('HKEYS', P .. 'queues')
for _, name in ipairs(call('HKEYS', P .. 'paused')) do names[#names + 1] = name end
return names
