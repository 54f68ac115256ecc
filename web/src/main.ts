import './app.css'
import { mount } from 'svelte'
import App from './App.svelte'
import { root } from './lib/api/client'
import { app } from './lib/app.svelte'
import { endEarly } from './lib/early'
import { watchPage } from './lib/stream/follow'

// A relative base would be resolved anew by some browsers after navigation: pin it.
document.querySelector('base')?.setAttribute('href', root.href)

endEarly()
app.start()
watchPage()
mount(App, { target: document.getElementById('app')! })
