-- Return the progress of messages. ARGV: clock offset, ids.

local now = clock(tonumber(ARGV[1]))
local answer = {}
for i = 2, #ARGV do
    answer[i - 1] = call('HGET', P .. 'x:' .. ARGV[i], 'p') or facts_of(ARGV[i], now)[PROGRESS] or false
end
return answer
