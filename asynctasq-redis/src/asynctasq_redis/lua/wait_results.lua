-- Look for outcomes, and register for notifications of the others. ARGV: clock offset, instance, ids. Returns
-- the ids that have ended.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local ended = {}
for i = 3, #ARGV do
    local id = ARGV[i]
    local known, state = is_known(id, now)
    if known and state ~= WAITING then
        ended[#ended + 1] = id
    else
        local key = P .. 'w:' .. id
        call('SADD', key, ARGV[2])
        call('PEXPIRE', key, 3000)
    end
end
if #ended < #ARGV - 2 then call('SET', P .. 'awaited', 1, 'PX', 3000) end
return ended
