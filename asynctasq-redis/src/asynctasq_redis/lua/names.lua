-- The names of all queues that hold something or are paused; of some twice.

local names = call('HKEYS', P .. 'queues')
for _, name in ipairs(call('HKEYS', P .. 'paused')) do names[#names + 1] = name end
return names
